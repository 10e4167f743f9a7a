"""How the processes of this machine ask each other, over Unix sockets."""
