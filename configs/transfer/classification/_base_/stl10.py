"""STL-10 for pipelines that were written for image files."""

num_classes = 10
# arrays come as RGB, image files as BGR
decode = [dict(type='PILToNumpy', to_bgr=True)]
train_data = dict(type='mmattmask.STL10', data_root='data/stl10', split='train')
test_data = dict(type='mmattmask.STL10', data_root='data/stl10', split='test')
