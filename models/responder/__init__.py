"""Two towers that find a reply: one reads what was said, the other what may be answered."""
