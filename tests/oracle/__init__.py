"""Whether anything but the door log tells why somebody was refused before the PIN was proved."""
