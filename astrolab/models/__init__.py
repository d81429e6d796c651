"""Networks, the ways of moving a trained one to another survey (`adapt`), and the arms that studies compare (`arms`).

Importing a module of this folder imports torch (but for `arms`); importing the folder itself does not.
"""
