"""The published two-stage networks: "SpineFinder", McCouat & Glocker 2019 (arXiv 1902.05321).

Facts and figures (patches of 64 x 64 x 80 mm, eight sagittal slices, channels, losses, votes) are
theirs, from the paper and from the public source github.com/jfm15/SpineFinder; words and code are
ours. What is otherwise here, and why:

- HU are clipped to bone's window and scaled by fixed numbers; theirs by each image's own mean, so
  that a table or a field of view changed every answer.
- Levels are those of ``anatomy``, with T13 and L6; theirs had no L6 to answer with.
- An empty detection is an answer ("no spine found"); theirs crashed.
- Two names for one vertebra are one: the name with fewer votes goes, with a warning.
- Tiles without bone are not looked at. Slices are cut to the detected part, with room around it.
- Nothing is held of a scan but one mask and the votes: tiles and slices are sampled when needed.
"""
