"""The web process's HTTP side: takes pushes in and says which one is held; decides nothing."""
