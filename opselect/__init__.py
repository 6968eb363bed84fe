"""opselect: operation selection in differentiable neural architecture search, compared with evidence."""
