"""What every HTML page shares: the base template, the style sheet, the macros, and the geometry of charts."""
