"""A plug-in of opselect: proxy, score, selector, space, table."""
