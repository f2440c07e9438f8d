"""Things in a picture with their boxes: YOLOv3-tiny."""
