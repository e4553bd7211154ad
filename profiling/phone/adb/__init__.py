"""Talks to a phone over adb and reads its description and conditions."""
