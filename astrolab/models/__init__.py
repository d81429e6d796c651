"""Networks, and the ways of moving a trained one to another survey.

Importing a module of this folder imports torch; importing the folder itself does not.

=============== =====================================================================
registry        name -> network
network         what every network promises: spec, input, layer sets, hidden features
redshift_cnn    images -> redshift (the reference ResNet18)
redshift_mlp    magnitudes -> redshift
strategies      the ways of moving a network, with their settings
adapt           network + strategy -> adapted network with its plan
targets         layer names -> modules and parameters
adapters        low-rank adapters, through peft
residual        frozen network + learned correction
plan            what trains and what does not, and the proof of it
digests         fingerprints of weights
saving          folders of safetensors, read back to the last bit
=============== =====================================================================
"""
