""" "These items under these edits": whole runs, a shared prefix, or a replay of what lies above the edit."""
