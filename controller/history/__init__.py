"""What happened, kept: the station process reads the control process's records into a store on the disk.

``collect`` makes periods of cycles, ``store`` keeps them in SQLite, ``chain`` makes the record of curtailments one that
nobody can change unseen, ``keeper`` is the one writer beside the loop, ``intake`` the way from the record socket.
"""
