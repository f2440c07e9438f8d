"""Think-at-Hard (arXiv 2511.08577): a second pass for the tokens that need one."""
