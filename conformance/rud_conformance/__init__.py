"""The conformance suite for authors of storage backends. Importing it imports neither pytest nor hypothesis."""
