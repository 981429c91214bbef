"""Methods that draw new maps; schedule, denoiser and sampler are separate pieces."""
