"""Language models, a module each. Import the module you use: `from nasmith.lms.smollm2 import SmolLM2`."""
