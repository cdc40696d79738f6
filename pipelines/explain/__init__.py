"""What the members of a committee look at: maps on faces, filters, and pictures that networks would like to see.

Everything here reads finished members and changes none. A map says where a network's answer hangs on the pixels; it is
no proof that the network understands what is there.
"""
