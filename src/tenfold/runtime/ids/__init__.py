"""Unique 64-bit ids that sort by time, on leased worker numbers. The public door is `tenfold.ids`."""
