"""A phone in software, for tests: real adb, Android's shell and tools, trouble on demand."""
