"""A folder as ``save_pretrained`` writes it → its graph, its steps for texts or images, its libraries' answers."""
