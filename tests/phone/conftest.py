"""Phones for the tests of this folder."""

from tests.phone.fixtures import adb_server, make_phone, phone, phone_benchmark_model

__all__ = ["adb_server", "make_phone", "phone", "phone_benchmark_model"]
