"""A reference runtime: executes an ML Program on any machine, as the published meaning of its operators says."""
