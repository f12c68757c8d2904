"""How training is shared out among devices. One file each."""
