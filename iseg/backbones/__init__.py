"""All that knows a diffusion model: the table, finding and reading weights, one file per family."""
