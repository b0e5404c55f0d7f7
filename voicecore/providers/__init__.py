"""One file or folder a provider: opening its sessions and speaking its wire, as the ports see them.

Level 3: takes wire/, net/ and ports; never the engine and never another provider.
"""
