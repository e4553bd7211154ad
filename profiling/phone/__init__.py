"""Real phones over adb."""
