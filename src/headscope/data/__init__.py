"""CogVSR cases: schema, reading and validation, splits by image, Hugging Face datasets, the dataset card.

Names live in their modules: ``headscope.data.cases`` (``load_cases``, ``save_cases``, ``Cases``),
``validation`` (``validate``, ``Fault``), ``splits`` (``assign_splits``), ``hub`` (``to_dataset``,
``from_dataset``), ``card`` (``write_card``), ``blind`` (``blind_table``) and ``scenes`` (the generator).
"""
