"""The council's production logic on virtual time, under loss, doubling, crashes and lost disks."""
