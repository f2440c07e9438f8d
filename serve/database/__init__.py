"""The database: how it is reached, what is in it, and the way there from every format before."""
