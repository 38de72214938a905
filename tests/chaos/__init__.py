"""Many jobs, many faults, and an audit: is anything lost, twice, wrong or stuck?"""
