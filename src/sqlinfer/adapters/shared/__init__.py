"""What several warehouses share: SELECTs built for any dialect, and loops over batches."""
