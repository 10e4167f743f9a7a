"""How other processes of this machine ask the door process."""
