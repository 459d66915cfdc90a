"""Run plans over hosts: barriers, going back together, one report that tells the truth."""
