"""Pure: from what the console knows to lines of styled text; no widget, no clock, no I/O."""
