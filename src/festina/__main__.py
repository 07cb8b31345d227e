"""``python -m festina``."""

from festina.entry import main

main()
