"""Which rectangle of the original picture each image token stands for, layout by layout."""
