"""The report page: one self-contained HTML file per committee, drawn from what lies in its folder."""
