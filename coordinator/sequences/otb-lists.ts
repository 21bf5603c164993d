// Which videos OTB's lists have (Wu, Lim and Yang, "Online object tracking: a benchmark", CVPR 2013, and "Object
// tracking benchmark", TPAMI 2015). A video of two targets is two sequences.

const tb50 =
  "Basketball Biker Bird1 BlurBody BlurCar2 BlurFace BlurOwl Bolt Box Car1 Car4 CarDark CarScale ClifBar Couple Crowds David Deer Diving DragonBaby Dudek Football Freeman4 Girl Human3 Human4 Human6 Human9 Ironman Jump Jumping Liquor Matrix MotorRolling Panda RedTeam Shaking Singer2 Skating1 Skating2 Skiing Soccer Surfer Sylvester Tiger2 Trellis Walking Walking2 Woman".split(
    " ",
  );

/** Of TB-100, those that TB-50 has not. */
const others =
  "Bird2 BlurCar1 BlurCar3 BlurCar4 Board Bolt2 Boy Car2 Car24 Coke Coupon Crossing Dancer Dancer2 David2 David3 Dog Dog1 Doll FaceOcc1 FaceOcc2 Fish FleetFace Football1 Freeman1 Freeman3 Girl2 Gym Human2 Human5 Human7 Human8 Jogging KiteSurf Lemming Man Mhyang MountainBike Rubik Singer1 Skater Skater2 Subway Suv Tiger1 Toy Trans Twinnings Vase".split(
    " ",
  );

const otb2013 =
  "Basketball Bolt Boy Car4 CarDark CarScale Coke Couple Crossing David David2 David3 Deer Dog1 Doll Dudek FaceOcc1 FaceOcc2 Fish FleetFace Football Football1 Freeman1 Freeman3 Freeman4 Girl Ironman Jogging Jumping Lemming Liquor Matrix Mhyang MotorRolling MountainBike Shaking Singer1 Singer2 Skating1 Skiing Soccer Subway Suv Sylvester Tiger1 Tiger2 Trellis Walking Walking2 Woman".split(
    " ",
  );

/** Videos of a list, by its name. */
export const otbLists = { tb50, tb100: [...tb50, ...others], otb2013 } as const;
export type OtbList = keyof typeof otbLists;
