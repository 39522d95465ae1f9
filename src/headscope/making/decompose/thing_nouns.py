"""Common nouns of things that photographs and drawings show: last words of names of several words.

"The plate broken" and "the plate rack" look alike; only a known noun at the end says that both words are one
name. A name of one word, or of adjectives and one word, needs no entry here.
"""

from __future__ import annotations

from headscope.making.decompose.thing_words import words_of

NOUNS = words_of("""
person people man men woman women child children boy boys girl baby babies kid adult lady guy player rider
driver worker officer policeman fireman soldier chef cook waiter nurse doctor teacher student skier surfer
snowboarder skateboarder cyclist biker pedestrian passenger farmer fisherman batter pitcher catcher umpire
clown bride groom family crowd team tourist dancer singer musician painter artist vendor customer head face
hair eye eyes ear ears nose mouth beard hand hands arm arms finger leg legs foot feet knee shoulder neck
chest back tail paw paws horn horns wing wings beak mane fur feather trunk tusk hoof dog dogs puppy cat cats
kitten horse horses pony cow cows bull calf sheep lamb goat pig pigs chicken hen rooster duck ducks goose
bird birds parrot pigeon seagull eagle owl swan penguin elephant bear bears zebra giraffe lion tiger monkey
gorilla deer moose rabbit squirrel mouse rat hamster fish shark whale dolphin turtle tortoise snake lizard
frog bee butterfly fly spider ant insect camel donkey fox wolf panda koala kangaroo crab car cars truck
trucks bus buses van taxi cab train trains tram locomotive wagon carriage cart motorcycle motorbike scooter
moped bicycle bike bikes tricycle airplane plane planes jet helicopter boat boats ship ferry canoe kayak
raft sailboat yacht tractor trailer ambulance engine wheel wheels tire tyre seat seats windshield mirror
bumper hood headlight taillight handlebar pedal mast sail deck anchor paddle oar propeller runway table
tables desk chair chairs stool bench benches couch sofa armchair bed beds crib cradle dresser drawer drawers
cabinet cabinets cupboard wardrobe closet shelf shelves bookshelf bookcase counter countertop island
nightstand ottoman recliner mattress pillow pillows cushion blanket quilt sheet curtain curtains blinds rug
carpet mat lamp lampshade chandelier candle candles lantern light lights bulb clock watch frame picture
painting poster vase pot plant plants planter basket hamper bin trashcan bucket broom mop dustpan vacuum
iron fan heater radiator fireplace stove oven microwave toaster refrigerator fridge freezer dishwasher sink
faucet tap toilet bathtub tub shower towel towels soap sponge toothbrush toothpaste comb brush drier dryer
razor scale washer kettle pan pans skillet wok lid cup cups mug mugs glass glasses bottle bottles can cans
jar jars jug bowl bowls plate plates dish dishes saucer tray platter fork forks knife knives spoon spoons
spatula ladle whisk tongs chopsticks napkin napkins tablecloth placemat straw opener corkscrew board rack
holder stand grill barbecue blender mixer grinder cooker maker machine dispenser container apple apples
banana bananas orange oranges lemon lime grape grapes strawberry berry berries cherry pear peach plum melon
watermelon pineapple mango kiwi avocado tomato tomatoes potato potatoes carrot carrots onion onions garlic
pepper peppers cucumber lettuce cabbage broccoli cauliflower corn pea peas bean beans mushroom pumpkin bread
toast bun bagel roll croissant sandwich burger hamburger hotdog pizza pasta spaghetti noodles rice soup
salad steak meat ham bacon sausage egg eggs cheese butter cake cakes cupcake muffin donut donuts doughnut
cookie cookies pie pastry pancake waffle ice cream chocolate candy popcorn chips fries ketchup mustard sauce
shirt tshirt blouse sweater jacket coat suit vest dress skirt pants jeans shorts trousers sock socks shoe
shoes boot boots sandal sandals slipper slippers heel heels hat cap helmet scarf tie bowtie belt glove
gloves mitten mitt sunglasses goggles mask necklace bracelet ring earring earrings purse handbag bag bags
backpack suitcase luggage briefcase wallet umbrella umbrellas cane crown veil apron uniform robe bikini
phone phones smartphone cellphone telephone tv television monitor screen laptop laptops computer computers
keyboard mousepad remote control controller console speaker speakers headphones microphone radio camera
tripod printer scanner charger cable cord wire plug outlet switch button projector tablet router drive disk
book books magazine newspaper notebook pen pens pencil pencils marker crayon eraser ruler scissors stapler
tape glue envelope letter card cards paper papers folder binder calendar map globe stamp sticker note notes
chalk chalkboard blackboard whiteboard sign signs billboard banner flag flags label menu ball balls bat bats
racket racquet net goal hoop frisbee kite kites ski skis snowboard skateboard surfboard paddleboard sled bow
arrow dart dartboard puck stick club clubs weight weights dumbbell treadmill trampoline swing slide seesaw
playground toy toys doll dolls teddy puppet robot balloon balloons puzzle block blocks dice chess checkers
domino guitar violin cello piano drum drums flute trumpet saxophone house houses home building buildings
skyscraper tower towers castle church temple mosque barn shed garage hut cabin tent igloo store shop
restaurant cafe bar hotel hospital school library museum theater stadium station airport bridge tunnel road
street highway lane sidewalk path trail crosswalk curb track tracks rail rails railing fence fences gate
gates wall walls door doors doorway window windows windowsill roof chimney balcony porch patio stairs
staircase stairway steps ladder escalator elevator column pillar arch floor ceiling tile tiles room kitchen
bathroom bedroom hallway office classroom garden yard lawn park field fields court pitch pole poles post
posts hydrant meter meters mailbox barrier cone cones barricade fountain statue monument lamppost
streetlight awning canopy pier dock harbor platform ramp pool pond puddle tree trees palm pine oak bush
bushes shrub hedge grass leaf leaves branch branches stump log logs flower flowers rose roses tulip daisy
sunflower bouquet weed moss vine cactus root mountain mountains hill hills cliff rock rocks stone stones
boulder sand beach shore coast ocean sea lake river stream waterfall wave waves desert forest jungle snow
sky cloud clouds sun moon star stars rainbow fire smoke hammer nail nails screw screwdriver wrench pliers
saw axe drill shovel rake hoe wheelbarrow hose rope chain hook hooks bolt pipe pipes tank barrel crate
crates box boxes package parcel carton pallet sack shape shapes square squares circle circles triangle
triangles rectangle rectangles pentagon pentagons hexagon hexagons octagon ellipse ellipses oval ovals
semicircle semicircles cross crosses diamond diamonds heart line lines dot dots point points cube cubes
sphere spheres cylinder cylinders pyramid prism item items object objects thing things animal animals pet
pets vehicle vehicles furniture appliance device tool tools utensil fruit fruits vegetable vegetables food
drink beverage snack dessert meal clothing garment accessory
""")
