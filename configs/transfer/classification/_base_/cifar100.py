"""CIFAR-100 for pipelines that were written for image files."""

num_classes = 100
# arrays come as RGB, image files as BGR
decode = [dict(type='PILToNumpy', to_bgr=True)]
train_data = dict(type='CIFAR100', data_root='data/cifar100', split='train')
test_data = dict(type='CIFAR100', data_root='data/cifar100', split='test')
