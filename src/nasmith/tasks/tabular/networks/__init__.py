"""The networks of four spaces with published results, a file each that imports PyTorch alone."""
