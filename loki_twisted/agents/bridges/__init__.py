"""Programs of ours that stand before a CLI which does not speak by lines itself."""
