"""Delete AlephCRM orders listed in CSV files: paced, accounted for, resumable. `bulkdelete.job` is the library's door."""

__version__ = "0.1.0"
