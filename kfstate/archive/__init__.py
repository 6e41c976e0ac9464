"""The log in files: Parquet for machines, NDJSON for everybody, CSV and XLSX for people.

Parquet needs the extra ``archive`` (pyarrow, numpy), XLSX too; NDJSON and CSV need nothing.
"""
