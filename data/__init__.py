"""What was measured or published: measurements, latency tables, image data sets."""
