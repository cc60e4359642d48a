"""The report: what an export is, gathered from its folder, drawn, and written as one page that stands alone."""
