"""What may go on, how fast, and how everything is stopped.  # G"""
