"""What stands between the sky and the data: detector layouts, masks and responses."""
